# Puts the second object into the first. Lists, named by their paths, keep their entries.
def entries: split(",") | map(gsub("^\\s+|\\s+$"; "") | select(. != "" and . != "*"));

if length != 2 or any(type != "object") then error("no objects") else . end
| .[0] as $old | .[1] as $want
| reduce ($lists | split(" ")[]) as $name ($old * $want;
    ($name | split(".")) as $path
    | ($old | getpath($path)) as $had
    | if ($had | type) == "string" then
        ($want | getpath($path) | split(",")) as $has
        | if $had | entries | all(test("^[][A-Za-z0-9._:/*-]+$")) then . else error("no list") end
        | setpath($path; $has + ($had | entries | map(select(. as $e | $has | index($e) | not))) | join(","))
      else . end)
| reduce ($want | paths(type == "array")) as $path (.;
    ($old | getpath($path)) as $had | ($want | getpath($path)) as $has
    | if $had == null then . elif ($had | type) == "array" then setpath($path; $has + ($had - $has)) else error("no list") end)
