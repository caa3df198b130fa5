// IP addresses as 32 hex digits, which sort and compare as text; IPv4 as mapped.

const mapped = "0".repeat(20) + "ffff";

export function addressKey(text) {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(text)) return ipv4(text);
  if (!text.includes(":")) return "";
  const bare = text.replace(/%.*$/, "");
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(bare);
  const v4 = tail ? ipv4(tail[2]).slice(24) : "";
  if (tail && !v4) return "";
  const halves = (tail ? `${tail[1]}${v4.slice(0, 4)}:${v4.slice(4)}` : bare).split("::");
  if (halves.length > 2) return "";
  const [front, back = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - front.length - back.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return "";
  const groups = [...front, ...Array(missing).fill("0"), ...back];
  if (!groups.every((g) => /^[0-9a-fA-F]{1,4}$/.test(g))) return "";
  return groups.map((g) => g.toLowerCase().padStart(4, "0")).join("");
}

function ipv4(text) {
  const parts = text.split(".").map(Number);
  if (parts.some((n) => n > 255)) return "";
  return mapped + parts.map((n) => n.toString(16).padStart(2, "0")).join("");
}

// A test of address keys against an address or a CIDR; null if text is neither.
export function within(text) {
  const [address, bitsText] = text.split("/");
  const key = addressKey(address);
  if (!key) return null;
  if (bitsText === undefined) return (other) => other === key;
  const bits = Number(bitsText) + (address.includes(":") ? 0 : 96);
  if (!/^\d{1,3}$/.test(bitsText) || bits > 128) return null;
  const digits = bits >> 2;
  const shift = 4 - (bits & 3);
  const nibble = (k) => (shift === 4 ? 0 : parseInt(k[digits], 16) >> shift);
  return (other) => other !== "" && other.slice(0, digits) === key.slice(0, digits) && nibble(other) === nibble(key);
}
