"""What kind of file is this, by its first bytes, and what can be done with it? Words for messages, nothing else."""

from __future__ import annotations

# Kind, where its mark stands, the mark, and what to do with such a file where something else is wanted.
UNPACK = "unpack it, and name what was in it"
SAVE_AS_TEXT = "save the sheet as CSV in UTF-8"
AS_TABLE = "export the table as CSV in UTF-8"
NO_TABLE = "name the table itself"
_KINDS: tuple[tuple[str, int, bytes, str], ...] = (
    ("a zip archive", 0, b"PK\x03\x04", UNPACK),
    ("an empty zip archive", 0, b"PK\x05\x06", UNPACK),
    ("a gzip archive", 0, b"\x1f\x8b", UNPACK),
    ("a bzip2 archive", 4, b"1AY&SY", UNPACK),
    ("an xz archive", 0, b"\xfd7zXZ\x00", UNPACK),
    ("a Zstandard archive", 0, b"\x28\xb5\x2f\xfd", UNPACK),
    ("a 7-Zip archive", 0, b"7z\xbc\xaf\x27\x1c", UNPACK),
    ("a RAR archive", 0, b"Rar!\x1a\x07", UNPACK),
    ("a tar archive", 257, b"ustar", UNPACK),
    ("an old Excel workbook or another OLE file", 0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", SAVE_AS_TEXT),
    ("a Parquet file", 0, b"PAR1", "export it as CSV in UTF-8"),
    ("an SQLite database", 0, b"SQLite format 3\x00", AS_TABLE),
    ("an HDF5 file", 0, b"\x89HDF\r\n\x1a\n", "export what is in it"),
    ("a PDF", 0, b"%PDF-", NO_TABLE),
    ("a NumPy array", 0, b"\x93NUMPY", "an array names neither images nor classes; write a CSV in UTF-8"),
    ("an Arrow file", 0, b"ARROW1\x00\x00", AS_TABLE),
    ("a PNG image", 0, b"\x89PNG\r\n\x1a\n", NO_TABLE),
    ("a JPEG image", 0, b"\xff\xd8\xff", NO_TABLE),
    ("a TIFF image", 0, b"II*\x00", NO_TABLE),
    ("a TIFF image", 0, b"MM\x00*", NO_TABLE),
    ("an RTF document", 0, b"{\\rtf", AS_TABLE),
    ("JSON", 0, b"{", "write it as CSV in UTF-8, a row per image"),
    ("JSON", 0, b"[", "write it as CSV in UTF-8, a row per image"),
    ("HTML or XML", 0, b"<", AS_TABLE),
    *(("a pickle", 0, bytes([0x80, protocol]), "it is never opened; write a CSV in UTF-8") for protocol in range(2, 6)),
    ("UTF-16 text", 0, b"\xff\xfe", "save it as UTF-8"),
    ("UTF-16 text", 0, b"\xfe\xff", "save it as UTF-8"),
)
# An Excel workbook is a zip archive; its first entry is one of these.
_WORKBOOK = (b"[Content_Types].xml", b"_rels/", b"xl/", b"docProps/")


def kind_of(content: bytes) -> tuple[str, str] | None:
    """What the bytes announce to be, and what to do with it; None for text, and for all that is not known here.

    >>> kind_of(b"PK\\x03\\x04 and so on")
    ('a zip archive', 'unpack it, and name what was in it')
    """
    if content.startswith(b"PK\x03\x04") and content[30:].startswith(_WORKBOOK):
        return "an Excel workbook", SAVE_AS_TEXT
    found = next((each for each in _KINDS if content[each[1] : each[1] + len(each[2])] == each[2]), None)
    return None if found is None else (found[0], found[3])
