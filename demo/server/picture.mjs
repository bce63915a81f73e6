// Draws a PNG in memory, so that the demo can push binary data that a page can show.
import { deflateSync } from 'node:zlib'

const width = 480
const height = 160
const bars = 24
const barWidth = width / bars

const crcTable = Int32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1
  return n
})

// `zlib.crc32` would do, but it came with Node 20.15 and 22.2.
const crc = bytes => ~bytes.reduce((sum, byte) => (sum >>> 8) ^ crcTable[(sum ^ byte) & 255], -1) >>> 0

/** https://www.w3.org/TR/png-3/#5Chunk-layout */
const chunk = (type, data) => {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(data.length)
  body.copy(framed, 4)
  framed.writeUInt32BE(crc(body), body.length + 4)
  return framed
}

/** Hue in degrees, saturation and lightness from 0 to 1; the conversion of CSS Color 4, section 7. */
const rgb = (hue, saturation, lightness) =>
  [0, 8, 4].map(offset => {
    const k = (offset + hue / 30) % 12
    const amount = saturation * Math.min(lightness, 1 - lightness)
    return Math.round(255 * (lightness - amount * Math.max(-1, Math.min(k - 3, 9 - k, 1))))
  })

/** A bar chart of `levels` (each from 0 to 1), the newest on the right, in the colours that begin at `hue`. */
const drawChart = (levels, hue) => {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2], 8) // eight bits a channel, RGB

  const background = rgb(hue, 0.45, 0.16)
  const colours = levels.map((_, bar) => rgb(hue + bar * 3, 0.75, 0.42 + (0.26 * bar) / bars))
  const stride = 1 + width * 3 // each row begins with its filter, 0 is none
  const pixels = Buffer.alloc(stride * height)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bar = Math.floor(x / barWidth)
      const isGap = x % barWidth >= barWidth - 4
      const isBar = !isGap && height - y <= 12 + levels[bar] * (height - 28)
      pixels.set(isBar ? colours[bar] : background, y * stride + 1 + x * 3)
    }
  }

  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(pixels)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** Returns a function that draws the next picture: a random walk around the middle moved on by a few steps, in the next colour. */
export const createPainter = (random = Math.random) => {
  let hue = 200
  let levels = Array.from({ length: bars }, () => 0.5)
  const step = () => {
    const next = levels[bars - 1] * 0.9 + 0.05 + (random() - 0.5) * 0.5
    levels = [...levels.slice(1), Math.min(1, Math.max(0, next))]
  }
  for (let bar = 0; bar < bars; bar++) step()

  return () => {
    for (let n = 0; n < 6; n++) step()
    hue = (hue + 47) % 360
    return drawChart(levels, hue)
  }
}

const signatures = [
  [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], // PNG
  [0xff, 0xd8, 0xff], // JPEG
  [0x47, 0x49, 0x46, 0x38], // GIF
]

export const isPicture = bytes =>
  signatures.some(signature => signature.every((byte, at) => bytes[at] === byte))
