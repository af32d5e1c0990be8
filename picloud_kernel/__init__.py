"""The PiCloud kernel: Lua cells that define, call and publish the endpoints of an app.

kernel.py speaks Jupyter's protocol, runner.py does what a cell asks for, session.py holds the platform and the app the
notebook works on, display.py and errors.py say how values and failures look.
"""
