"""Kernel settings of every chapter, whatever the author's own profile says."""

c = get_config()  # noqa: F821
c.InlineBackend.figure_formats = {"retina"}
c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "facecolor": "white"}
c.HistoryManager.enabled = False
c.IPKernelApp.log_level = "ERROR"  # silences a notice about TCP, once a chapter
c.InteractiveShell.xmode = "Minimal"  # a taught error shows its message alone
