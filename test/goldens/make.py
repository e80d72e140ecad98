"""Makes the files of this folder from the project's golden data, which were computed in float64 from the formulas of the official model.

    python3 make.py DIRECTORY_WITH_THE_GOLDEN_DATA

Weights and the arrays of single operations are copied byte for byte. Of the results of whole models, the arrays with a row for each token
keep every 7th (mu), 4th (small) or 5th (small_gap) token, the first and the last among them, so that the folder stays small.
mu_deflate.npz holds the arrays of mu.npz, deflated. manifest.json keeps shape, tolerance and way of comparison of what is expected.
"""
import json
import shutil
import sys
from pathlib import Path

import numpy as np

COPIED = ["mu.npz", "small.npz", "small_gap.npz", "ops_matmul.npz", "ops_norm.npz", "ops_activation.npz", "ops_attention.npz",
          "ops_recurrent.npz", "ops_embed.npz"]
# The same small arrays stored in four ways, for the reader of checkpoints.
FORMATS = ["npz_formats.json", "npz_formats.npz", "npz_formats_deflate.npz", "npz_formats_streamed.npz", "npz_formats_zip64.npz"]
# Gradients of single operations and of models, models, and runs of the optimiser, from the folder train/.
TRAINING = ["grad_ops.npz", *(f"{kind}_{name}.npz" for name in ["tok", "gap", "mlp", "patch16"] for kind in ["model", "grad_model"]),
            "model_mae.npz", "grad_mae.npz", "train_steps.npz", "readout_steps.npz", "mae_steps.npz", "adamw.npz",
            "bptt.npz"]
# file: (tokens of a frame, every how many of them are kept)
THINNED = {"mu_io.npz": (197, 7), "small_io.npz": (17, 4), "small_gap_io.npz": (16, 5)}


def thin(array, tokens, every):
    """Every n-th index of the first axis that counts tokens."""
    if tokens not in array.shape:
        return array
    return array.take(range(0, tokens, every), axis=array.shape.index(tokens))


def main(source, target):
    manifest = json.loads((source / "manifest.json").read_text())
    kept = {}
    for file in [*COPIED, *FORMATS]:
        shutil.copyfile(source / file, target / file)
    for file in TRAINING:
        shutil.copyfile(source / "train" / file, target / file)
    shutil.copyfile(source / "train" / "configs.json", target / "train_configs.json")
    manifest |= json.loads((source / "train" / "manifest.json").read_text())
    for file, (tokens, every) in THINNED.items():
        with np.load(source / file) as arrays:
            np.savez(target / file, **{name: thin(arrays[name], tokens, every) for name in arrays.files})
    with np.load(source / "mu.npz") as arrays:
        np.savez_compressed(target / "mu_deflate.npz", **arrays)
    for file in [*COPIED, *THINNED, *TRAINING]:
        with np.load(target / file) as arrays:
            expected = {
                name: {"shape": arrays[name].shape, "tolerance": entry["tolerance"], "compare": entry["compare"]}
                for name, entry in manifest[file].items() if entry["role"] == "expected"
            }
        if expected:
            kept[file] = expected
    lines = [f" {json.dumps(file)}: {{\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in arrays.items()) + "\n }"
             for file, arrays in kept.items()]
    (target / "manifest.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
