"""One file per process: builds its objects once and joins the rooms. Nothing imports wiring but the command line."""
