"""The dashboard: ipywidgets around one app, for Lua notebooks (`%dashboard`) and Python ones (`Dashboard("blog")`).

panel.py puts the sections together: scripts.py with editor.py, routes.py, triggers.py,
releases.py, dead_letters.py. A section is a class with
`widget`, `title` and `refresh()`. They share a desk (desk.py: what is loaded, how it is changed), refuse edits of what
is not live any more (edits.py), say what happened in notices (notice.py), through which every callback goes, and make
HTML with markup.py only, which escapes.
"""

from picloud_kernel.dashboard.dashboard import Dashboard
from picloud_kernel.dashboard.desk import Desk
from picloud_kernel.dashboard.panel import Panel

__all__ = ["Dashboard", "Desk", "Panel"]
