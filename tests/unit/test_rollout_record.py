"""What a service serves after a restart."""

from pathlib import Path

from serving.rollout.record import Record


def written(folder: Path) -> tuple[Path, Record]:
    for name in ("old", "new"):
        (folder / name).mkdir()
    record = Record(configured=str(folder / "old"), current=str(folder / "new"), other=str(folder / "old"))
    record.write(folder / "run" / "record.json")
    return folder / "run" / "record.json", record


def test_what_was_in_service_is_again(tmp_path: Path) -> None:
    file, record = written(tmp_path)
    assert Record.read(file, tmp_path / "old") == record


def test_a_setting_that_was_changed_since_counts(tmp_path: Path) -> None:
    file, _ = written(tmp_path)
    assert Record.read(file, tmp_path / "other").current == str(tmp_path / "other")


def test_a_model_that_is_gone_does_not(tmp_path: Path) -> None:
    file, _ = written(tmp_path)
    (tmp_path / "new").rmdir()
    assert Record.read(file, tmp_path / "old").current == str(tmp_path / "old")


def test_nothing_or_nonsense_is_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    assert Record.read(file, tmp_path).current == str(tmp_path)
    file.write_text("{")
    assert Record.read(file, tmp_path).current == str(tmp_path)
