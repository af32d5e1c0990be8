pytest_plugins = ["picloud.testing.fixtures"]
