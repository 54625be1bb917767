"""What an import made, for a person and for programs."""

from pydantic import Field

from catalog.importing.mapping import ImportMapping
from configs.schema import StrictModel


class ImportSummary(StrictModel):
    """What an import made, and what it left out; the same is in `import/<table>.json` of the catalogue."""

    out: str = Field(description="catalogue directory")
    table: str = Field(description="table that was made")
    read: int = Field(description="rows of the file, those that do not fit its header too")
    rows: int = Field(description="rows written")
    filtered: int = Field(0, description="rows that `where` leaves out")
    grouped: int = Field(0, description="rows that are variants of a product, or add to one")
    variants: int = Field(0, description="variants written")
    quarantined: dict[str, int] = Field(default_factory=dict, description="rows at fault, by what is wrong with them")
    left_out: dict[str, int] = Field(default_factory=dict, description="rows that say nothing that the table could hold, by why")
    dropped: dict[str, int] = Field(default_factory=dict, description="values that could not be read and are missing, by column")
    currency: str | None = Field(None, description="ISO code of the prices; none where neither file nor mapping says")
    images: int = Field(0, description="photos written")
    missing_images: int = Field(0, description="products without a photo; 0 where no folder of photos was given")
    unreadable_images: int = Field(0, description="photos that are named and could not be found or read")
    notes: tuple[str, ...] = Field((), description="what was found out, changed or left, a line each")
    warnings: tuple[str, ...] = Field((), description="what is likely not meant, a line each")
    files: dict[str, str] = Field(default_factory=dict, description="lists inside the catalogue: of rows, of photos, of all this")


class ImportRecord(StrictModel):
    """What a catalogue keeps of an import."""

    summary: ImportSummary = Field(description="what it made")
    mapping: ImportMapping = Field(description="by which mapping")
