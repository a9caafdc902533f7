"""What is downloaded of a hub repository: everything that an export reads, and the weights once."""

from export.source import wanted_files


def test_pickled_weights_where_there_are_no_others() -> None:
    """As BAAI/bge-m3 has it."""
    files = ["config.json", "pytorch_model.bin", "sparse_linear.pt", "1_Pooling/config.json", "onnx/model.onnx_data"]
    assert wanted_files([*files, "onnx/config.json", "imgs/x.jpg"]) == [
        "config.json",
        "sparse_linear.pt",
        "1_Pooling/config.json",
        "pytorch_model.bin",
    ]


def test_safetensors_rather_than_pickles_folder_by_folder() -> None:
    files = ["model.safetensors", "pytorch_model.bin", "2_Dense/pytorch_model.bin", "README.md"]
    assert wanted_files(files) == ["model.safetensors", "README.md", "2_Dense/pytorch_model.bin"]
