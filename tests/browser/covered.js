// Returns what of a page is covered, cut off or too near to something else, in a window as high as the page.
() => {
    const wrong = new Map(), rows = 15;
    const named = (node) => `${node.tagName.toLowerCase()}.${node.getAttribute("class") ?? ""} «${node.textContent.trim().replace(/\s+/g, " ").slice(0, 40)}»`;
    const report = (node, what) => { if (!wrong.has(node)) wrong.set(node, `${what}: ${named(node)}`); };
    const isSeen = (node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest(".unseen, .skip, svg, select, dialog:not([open])");
    const hides = (overflow) => overflow === "hidden" || overflow === "clip";
    // Whether a line of text is in sight there, once what scrolls was scrolled; reports where it is cut.
    function isInSight(node, box) {
        for (let up = node; up !== document.body; up = up.parentElement) {
            const style = getComputedStyle(up), place = up.getBoundingClientRect();
            if (style.clipPath !== "none") return false;
            const isBeside = box.left < place.left - 1 || box.right > place.right + 1;
            const isBeyond = box.top < place.top - 3 || box.bottom > place.bottom + 3;
            if (isBeside && hides(style.overflowX) || isBeyond && hides(style.overflowY)) {
                const isShort = style.textOverflow === "ellipsis" || style.webkitLineClamp !== "none";
                if (!isShort || !up.closest("[title]")) report(node, "cut");
                return false;
            }
            if (isBeside && style.overflowX === "auto") {
                if (up.querySelector(".list")) report(node, "beside its table");
                return false;
            }
            if (isBeyond && style.overflowY === "auto") return false;
        }
        return true;
    }
    function check(node, box) {
        if (box.width < 1 || box.height < 1 || !isInSight(node, box)) return;
        const middle = box.top + box.height / 2, edge = Math.min(2, box.width / 2);
        for (const across of [box.left + edge, box.left + box.width / 2, box.right - edge]) {
            const met = document.elementFromPoint(across, middle);
            const label = node.closest("label");
            if (!met || node.contains(met) || met.contains(node) || label && label === met.closest("label")) continue;
            report(node, `covered by ${named(met)}`);
        }
    }
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), range = document.createRange();
    while (texts.nextNode()) {
        const text = texts.currentNode, node = text.parentElement;
        if (!text.data.trim() || !isSeen(node) || node.closest(`tbody tr:nth-child(n + ${rows})`)) continue;
        range.selectNodeContents(text);
        for (const box of range.getClientRects()) check(node, box);
    }
    for (const one of document.querySelectorAll("input, select, .button")) if (isSeen(one)) check(one, one.getBoundingClientRect());
    const buttons = [...document.querySelectorAll(".button")].filter(isSeen), gap = 3;
    for (const one of buttons) for (const other of buttons) {
        const box = one.getBoundingClientRect(), next = other.getBoundingClientRect();
        if (one === other || next.left >= box.right + gap || next.right <= box.left - gap) continue;
        if (next.top < box.bottom + gap && next.bottom > box.top - gap) report(one, `touches ${named(other)}`);
    }
    return [...wrong.values()];
}
