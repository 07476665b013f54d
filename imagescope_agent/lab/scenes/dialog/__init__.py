"""Dialogs and messages about drawn scenes, with what each message means."""
