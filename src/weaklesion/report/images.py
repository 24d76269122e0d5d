"""Images inside pages."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path

from PIL import Image

from weaklesion.support.pictures import opened


def embedded(path: str | Path, width_px: int, quality: int = 85) -> dict[str, object]:
    """Return an image as the `src`, `width` and `height` of a page that needs no other file.

    Args:
        path: an image file; its transparent pixels become white.
        width_px: largest width; a wider image is shrunk.
        quality: JPEG's, 1 to 95.
    """
    with opened(path) as file:
        image = file.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        picture = Image.alpha_composite(white, image).convert("RGB")
    if picture.width > width_px:
        height = round(picture.height * width_px / picture.width)
        picture = picture.resize((width_px, height), Image.Resampling.LANCZOS)
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    source = f"data:image/jpeg;base64,{b64encode(stream.getvalue()).decode()}"
    return {"src": source, "width": picture.width, "height": picture.height}
