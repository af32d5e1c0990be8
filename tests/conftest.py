from hypothesis import settings

pytest_plugins = ["picloud.testing.fixtures"]

# How long an example takes tells of the machine and who else works on it; pytest's timeout ends what hangs.
settings.register_profile("picloud", deadline=None)
settings.load_profile("picloud")
