"""Listings as models take them, of what clients send."""

from catalog.errors import ImageError
from catalog.listing import Listing
from configs.schema import ServingConfig
from serving.errors import InvalidInput
from serving.images import LARGEST_SIDE, decoded
from serving.schemas import ListingIn


def read_listing(body: ListingIn, config: ServingConfig, path: str = "", side: int = LARGEST_SIDE) -> Listing:
    """A listing with its photo decoded, a larger one reduced to `side` pixels. `path` is where it stands, such as "items.3".

    Raises:
        InvalidInput: it says nothing, or its photo cannot be read.
    """
    image = None
    if body.image is not None:
        where = f"{path}.image" if path else "image"
        try:
            image = decoded(body.image, config.max_image_pixels, side)
        except ImageError as error:
            raise InvalidInput(f"{where}: {error}", where) from error
    listing = body.listing(image)
    if not (listing.title or listing.description or listing.image or listing.attributes or listing.fields):
        allowed = "title, description, image, attributes or a describing field such as brand"
        raise InvalidInput(f"{path or 'the listing'} says nothing; give at least one of {allowed}", path or None)
    return listing
