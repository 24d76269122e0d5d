"""What readers call the traits by which test images are divided."""

WORDS = {
    "area": "lesion's area",
    "ellipse_dice": "Dice of its ellipse",
    "contrast": "contrast",
    "at_border": "at the border",
    "in_training": "lesion trained on",
}
