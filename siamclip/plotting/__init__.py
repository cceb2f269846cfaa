"""How pictures and plots look: the fonts that they write with, of which one for Chinese text is shipped in `fonts/`.

Anything that draws may import from here; nothing here imports from the package but `siamclip.errors`.
"""
