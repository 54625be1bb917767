// Our pieces of the page: what is clicked in them is told, and where the page stands is kept in its address.
const vitrina = {
  places: {},
  first: "listing",
  moved: false,
  clicked: {},
  tab: new URLSearchParams(location.search).get("tab") || "listing",

  piece(element, trigger, watch, event) {
    let focused = null;
    element.addEventListener("click", (clicked) => {
      const button = clicked.target.closest("[data-do]");
      if (button && element.contains(button)) {
        focused = button.dataset.key || null;
        vitrina.clicked = { ...button.dataset };
        trigger(event);
      }
    });
    const shown = () => {
      const place = element.querySelector("[data-place]");
      if (place) vitrina.stand(place.dataset.place);
      if (focused && document.activeElement === document.body) {
        const again = element.querySelector(`[data-key="${CSS.escape(focused)}"]`);
        if (again) again.focus();
      }
    };
    watch("value", shown);
    shown();
  },

  stand(place) {
    const tab = new URLSearchParams(place).get("tab");
    vitrina.places[tab] = place;
    if (tab === vitrina.tab) history.replaceState(history.state, "", `?${place}`);
  },

  // The address as it was, for a tab that a visitor came to; the first one is also told when nobody came to it.
  turn(tab) {
    if (!vitrina.moved && tab === vitrina.first) return "";
    const said = new URLSearchParams(location.search).get("tab") === tab ? location.search : "?";
    vitrina.tab = tab;
    history.replaceState(history.state, "", `?${vitrina.places[tab] || (said.length > 1 ? said.slice(1) : `tab=${tab}`)}`);
    return said;
  },
};

// Where a key is asked for, a browser sends it unasked below an address that it was once asked for it: once for all photos.
fetch("/v1/models", { credentials: "same-origin" });

for (const moved of ["pointerdown", "keydown"]) {
  addEventListener(moved, () => { vitrina.moved = true; }, { capture: true, once: true });
}
