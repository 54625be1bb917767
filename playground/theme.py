"""How Gradio's own components look: system fonts, one accent colour, and the greys of `page.css`."""

import gradio as gr

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
LIGHT = {"accent": "#2f5fb3", "strong": "#264e94", "paper": "#ffffff", "panel": "#f5f6f8", "ink": "#1c2127", "muted": "#596370"}
LIGHT |= {"line": "#d9dee4", "field": "#ffffff", "on_accent": "#ffffff"}
DARK = {"accent": "#7ea6ec", "strong": "#97b8f0", "paper": "#14171b", "panel": "#1d2127", "ink": "#e4e7eb", "muted": "#a3adb9"}
DARK |= {"line": "#363d46", "field": "#181b20", "on_accent": "#10141a"}
VALUES = {
    "body_background_fill": "paper",
    "body_text_color": "ink",
    "body_text_color_subdued": "muted",
    "background_fill_primary": "paper",
    "background_fill_secondary": "panel",
    "block_background_fill": "paper",
    "block_border_color": "line",
    "block_label_background_fill": "paper",
    "block_label_text_color": "muted",
    "block_title_text_color": "ink",
    "block_info_text_color": "muted",
    "border_color_primary": "line",
    "border_color_accent": "accent",
    "color_accent_soft": "panel",
    "input_background_fill": "field",
    "input_background_fill_focus": "field",
    "input_border_color": "line",
    "input_border_color_focus": "accent",
    "input_placeholder_color": "muted",
    "link_text_color": "accent",
    "slider_color": "accent",
    "button_primary_background_fill": "accent",
    "button_primary_background_fill_hover": "strong",
    "button_primary_text_color": "on_accent",
    "button_primary_text_color_hover": "on_accent",
    "button_primary_border_color": "accent",
    "button_secondary_background_fill": "panel",
    "button_secondary_background_fill_hover": "line",
    "button_secondary_text_color": "ink",
    "button_secondary_border_color": "line",
    "checkbox_background_color": "field",
    "checkbox_background_color_selected": "accent",
    "checkbox_border_color": "muted",
    "checkbox_border_color_selected": "accent",
    "checkbox_label_background_fill": "field",
    "checkbox_label_background_fill_selected": "panel",
    "checkbox_label_border_color": "line",
    "checkbox_label_text_color": "ink",
    "checkbox_label_text_color_selected": "ink",
}
"""Colours by Gradio's names for what they colour."""


def theme() -> gr.themes.Base:
    """The theme, for light and for dark."""
    made = gr.themes.Base(font=list(FONTS), font_mono=list(MONO), radius_size="md", text_size="md", spacing_size="md")
    colours = {name: LIGHT[colour] for name, colour in VALUES.items()}
    colours |= {f"{name}_dark": DARK[colour] for name, colour in VALUES.items()}
    shapes = {"input_border_width": "1px", "block_border_width": "0px", "block_shadow": "none", "block_padding": "0px"}
    shapes |= {"block_label_border_width": "0px", "block_title_text_weight": "600", "block_title_text_size": "*text_sm"}
    shapes |= {
        "button_large_padding": "10px 18px",
        "button_large_text_weight": "600",
        "layout_gap": "14px",
        "form_gap_width": "14px",
    }
    return made.set(**colours, **shapes)
