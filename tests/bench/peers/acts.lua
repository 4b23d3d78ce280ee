-- POSTs by a template, each with a number of its own: wrk ... -- BASE FILE PICKS
-- FILE is a request: path, headers, an empty line, body. {n} is the number, {pick} a line of PICKS
-- by chance. BASE keeps the numbers of two runs apart.
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local function filled(text, values)
  return (text:gsub("{(%a+)}", values))
end

function init(args)
  next_number = tonumber(args[1]) * 1e9 + number * 1e8
  math.randomseed(next_number % 2147483647)
  headers, body = {}, nil
  for line in io.lines(args[2]) do
    local name, value = line:match("^([%w-]+): (.*)$")
    if not path then path = line
    elseif body then body = body .. line
    elseif line == "" then body = ""
    else headers[#headers + 1] = {name, value} end
  end
  picks = {}
  for line in io.lines(args[3]) do picks[#picks + 1] = line end
end

function request()
  next_number = next_number + 1
  local values = {n = string.format("%.0f", next_number), pick = picks[math.random(#picks)]}
  for _, header in ipairs(headers) do
    wrk.headers[header[1]] = filled(header[2], values)
  end
  return wrk.format("POST", filled(path, values), nil, filled(body, values))
end

dofile(os.getenv("BENCH_DONE_LUA"))
