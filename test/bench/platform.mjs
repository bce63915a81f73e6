// What some of the peers take for granted at import and Node does not have. Imported before they are; changes nothing in a
// browser.

// robust-websocket looks at it as soon as it is loaded, and Node 20 has none.
globalThis.navigator ??= { onLine: true }

// A class that makes it is looked up by several when a connection ends; Node has it from 23 on.
globalThis.CloseEvent ??= class CloseEvent extends Event {
  constructor(type, { code = 0, reason = '', wasClean = false } = {}) {
    super(type)
    Object.assign(this, { code, reason, wasClean })
  }
}
