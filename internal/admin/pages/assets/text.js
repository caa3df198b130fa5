// Text for people: sizes, rates, times, and what clients wrote.

const prefixes = ["", "k", "M", "G", "T", "P"];

// Powers of ten, as the configuration spells sizes: 1.23 kB, 12.3 kB, 123 kB.
export function size(bytes) {
  let value = bytes;
  let i = 0;
  // 999.5 would be rounded to 1000.
  while (value >= 999.5 && i < prefixes.length - 1) {
    value /= 1000;
    i++;
  }
  const digits = i === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${prefixes[i]}B`;
}

export const rate = (bytesPerSecond) => size(bytesPerSecond) + "/s";

const grouped = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });

export const count = (n) => grouped.format(n);

// A share of one, as whole per cent; what is nearly all or nearly nothing is not
// rounded to it.
export const percent = (share) => `${share > 0.995 && share < 1 ? 99 : share > 0 && share < 0.005 ? 1 : Math.round(share * 100)}%`;

export const counted = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

const two = (n) => String(n).padStart(2, "0");

// A time that has passed, in its two largest units.
export function duration(milliseconds) {
  const s = Math.max(0, Math.floor(milliseconds / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} m`;
  return `${Math.floor(s / 86400)} d ${two(Math.floor(s / 3600) % 24)} h`;
}

// Local time of day, with the date if it is not that of now (in milliseconds).
export function clock(milliseconds, now = milliseconds) {
  const t = new Date(milliseconds);
  const time = `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
  if (t.toDateString() === new Date(now).toDateString()) return time;
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${time}`;
}

// What a client wrote, with all that does not print, or turns the direction of
// what follows, spelt out as in the log.
export function plain(text) {
  return String(text ?? "").replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, (c) => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0"));
}

export function hostPort(host, port) {
  if (!host) return "";
  const shown = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return port ? `${shown}:${port}` : shown;
}
