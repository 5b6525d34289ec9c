/* A page that was opened from a folder may start no worker, and the theme searches in one. There this runs the
   worker's script in a hidden frame, with what that script uses of a worker: messages in, messages out. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      const page = this.inside.document;
      page.open();
      this.inside.postMessage = (data) =>
        this.dispatchEvent(new MessageEvent("message", { data }));
      this.started = new Promise((resolve) => {
        this.inside.addEventListener("load", resolve);
      });
      page.write(`<!doctype html><script src="${url}"></script>`);
      page.close();
    }

    postMessage(data) {
      this.started.then(() =>
        this.inside.dispatchEvent(new MessageEvent("message", { data })),
      );
    }
  };
}
