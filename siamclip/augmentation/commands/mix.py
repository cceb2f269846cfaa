"""augment.py mix: photos of a folder become mixed images, or photos with parts hidden, in an output folder."""

from __future__ import annotations

from siamclip.augmentation.commands.folder_run import FolderRun
from siamclip.augmentation.console import say_left_out
from siamclip.augmentation.mix.mix_folder import FolderMixing, choose_parents, hash_parents, mix_folder
from siamclip.augmentation.output.settings_file import write_settings_file
from siamclip.cli.console import new_console, say, with_flags
from siamclip.cli.progress_bars import Bars
from siamclip.embedding.photo_embeddings import open_for_pairs


def mix_photos(run: FolderRun, mixing: FolderMixing, number: int) -> int:
    """Make `number` images. The exit code: 1 where photos could not be read, which are listed. Raises UserError."""
    run.check_output_dir()
    console = new_console()
    collection = run.collection(console)
    vectors, all_read = None, True
    depends_on = {}
    if "features" in mixing.mixer.needs:
        embedder = open_for_pairs(run.embedder)
        say(console, f"similarity by {embedder.name}, on {embedder.device}")
        vectors, all_read = run.embedded(collection, embedder, console)
        depends_on["embedder"] = embedder.fingerprint
    with Bars(console) as bars:
        advance = bars.step("parents drawn", number)
        parents, alone = choose_parents(mixing, collection.labels, number, run.across_classes, vectors, advance)
    if alone:
        note = f"left out: {alone:,} photos that are alone in their folders; `across_classes` mixes them too"
        say(console, with_flags(note))
    sources = hash_parents(collection, parents)
    depends_on["photos of the images"] = sources.fingerprint
    with run.output(depends_on, console) as output:
        with output.explain_write_errors():
            write_settings_file(output.settings, run.settings)
        with Bars(console) as bars:
            unreadable = mix_folder(
                mixing,
                collection,
                sources,
                output,
                vectors=vectors,
                batch_size=run.embedder.batch_size,
                sheet_rows=run.sheet_rows,
                advance=bars.step("images made", number),
            )
        unreadable |= run.copy_photos(collection, output, console)
        say_left_out(console, "photos that cannot be read, whose images are left out", unreadable)
        say(console, f"{sum(output.reasons.values()):,} images are in {run.output_dir}")
    return 0 if all_read and not unreadable else 1
