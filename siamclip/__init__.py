"""siamclip: compare, clean and augment image collections with a fine-tuned Siamese CLIP.

A room (a package) bears the name of the step it serves; what two steps share lies a floor lower. From the top down:
training; augmentation; cleaning, evaluation; diffusion, embedding; models; data, prediction; metrics, cli, files,
plotting, device, methods; errors, compiled, learning_rate. A lower floor never imports an upper one, no imports run in
a circle (tests/test_rooms.py), and nothing in here imports a top-level script (tests/test_tree.py).
"""
