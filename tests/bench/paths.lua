-- GETs of paths drawn from a file: wrk ... -- FILE
function init(args)
  paths = {}
  for line in io.lines(args[1]) do
    paths[#paths + 1] = wrk.format("GET", line)
  end
  math.randomseed(#paths)
end

function request()
  return paths[math.random(#paths)]
end

dofile(os.getenv("BENCH_DONE_LUA"))
