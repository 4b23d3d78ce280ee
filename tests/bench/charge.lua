-- Cash charges of an order each, every one with a key of its own: wrk ... -- BASE [TOKENS]
-- BASE keeps the orders and keys of two runs apart. TOKENS is a file of bearer tokens, one a line;
-- each serves a hundred charges of a thread.
local threads = 0
local tokens = {}
local charges = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(args)
  next_order = tonumber(args[1]) * 1e9 + number * 1e8
  wrk.method = "POST"
  wrk.path = "/v1/payments/charge"
  wrk.headers["Content-Type"] = "application/json"
  math.randomseed(next_order % 2147483647)
  if args[2] then
    for line in io.lines(args[2]) do
      tokens[#tokens + 1] = "Bearer " .. line
    end
    first_token = math.random(#tokens)
  end
end

function request()
  next_order = next_order + 1
  if #tokens > 0 then
    wrk.headers["Authorization"] = tokens[(first_token + math.floor(charges / 100)) % #tokens + 1]
    charges = charges + 1
  end
  wrk.headers["Idempotency-Key"] = string.format("bench-%.0f", next_order)
  local body = string.format(
    '{"order_id": %.0f, "rider_id": %d, "driver_id": %d, "amount": "10.50", "method": "CASH"}',
    next_order, math.random(1, 100000), math.random(1, 20000))
  return wrk.format(nil, nil, nil, body)
end

dofile(os.getenv("BENCH_DONE_LUA"))
