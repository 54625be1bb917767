"""Listings as models take them, of what clients send."""

from catalog.errors import ImageError
from catalog.images import LARGEST_SIDE, DecodedPhoto
from catalog.listing import Listing
from configs.schema import ServingConfig
from serving.errors import InvalidInput
from serving.images import decoded
from serving.schemas import ListingIn


def read_listing(body: ListingIn, config: ServingConfig, path: str = "", side: int = LARGEST_SIDE) -> Listing:
    """A listing with its photo decoded, a larger one reduced to `side` pixels. `path` is where it stands, such as "items.3".

    Raises:
        InvalidInput: it says nothing, or its photo cannot be read.
    """
    listing = body.listing(None if body.image is None else read_photo(body.image, config, path, side))
    if not (listing.title or listing.description or listing.image or listing.attributes or listing.fields):
        allowed = "title, description, image, attributes or a describing field such as brand"
        raise InvalidInput(f"{path or 'the listing'} says nothing; give at least one of {allowed}", path or None)
    return listing


def read_photo(data: bytes, config: ServingConfig, path: str = "", side: int = LARGEST_SIDE) -> DecodedPhoto:
    """A photo, decoded, a larger one reduced to `side` pixels; `path` is where its listing stands.

    Raises:
        InvalidInput: it cannot be read.
    """
    where = f"{path}.image" if path else "image"
    try:
        return decoded(data, config.max_image_pixels, side)
    except ImageError as error:
        raise InvalidInput(f"{where}: {error}", where) from error
