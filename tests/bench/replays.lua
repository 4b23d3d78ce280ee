-- Charges that were made before, by their keys: wrk ... -- FILE, of lines with a key and its body
function init(args)
  wrk.headers["Content-Type"] = "application/json"
  charges = {}
  for line in io.lines(args[1]) do
    local key, body = line:match("^(%S+) (.*)$")
    wrk.headers["Idempotency-Key"] = key
    charges[#charges + 1] = wrk.format("POST", "/v1/payments/charge", nil, body)
  end
end

function request()
  return charges[math.random(#charges)]
end

dofile(os.getenv("BENCH_DONE_LUA"))
