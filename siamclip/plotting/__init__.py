"""How pictures and plots look: style, and the fonts, of which one for Chinese text is shipped in `fonts/`.

Anything that draws may import from here; nothing here imports from the rest of the package.
"""
