-- What wrk sends, and what it prints at the end. Arguments: `post COUNT [KEYS]` for so many different requests, with
-- idempotency keys that begin with KEYS; `get FILE` with one path per line.
-- Every request is made before the load begins: Lua must not be what is measured.

-- LOAD_API_KEY: the API key that every request shows, if it is not empty.
-- LOAD_SERVERS: the servers, host:port each; every thread of wrk takes the next one.

local requests = {}
local threads = 0
local place = 0

local function shown_key()
   local key = os.getenv("LOAD_API_KEY")
   return key and key ~= "" and "Bearer " .. key or nil
end

local function post_requests(count, keys)
   local headers = { ["Content-Type"] = "application/json", ["Authorization"] = shown_key() }
   for number = 1, count do
      if keys then
         headers["Idempotency-Key"] = keys .. number
      end
      local body = string.format(
         '{"name": "report %d", "description": "figures of region %d, with charts, for the board", '
            .. '"type": "report", "payload": {"delay_s": %d, "failure_probability": 0, "result": {"pages": %d}}}',
         number, number % 97, number % 7, number)
      requests[number] = wrk.format("POST", "/tasks", headers, body)
   end
end

local function get_requests(file)
   for path in io.lines(file) do
      requests[#requests + 1] = wrk.format("GET", path, { ["Authorization"] = shown_key() })
   end
end

function setup(thread)
   local servers = {}
   for host, port in string.gmatch(os.getenv("LOAD_SERVERS"), "([^:%s]+):(%d+)") do
      servers[#servers + 1] = { host, port }
   end
   local server = servers[threads % #servers + 1]
   thread.addr = wrk.lookup(server[1], server[2])[1]
   threads = threads + 1
end

function init(args)
   if args[1] == "post" then
      post_requests(tonumber(args[2]), args[3])
   else
      get_requests(args[2])
   end
end

function request()
   place = place % #requests + 1
   return requests[place]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      'RESULT {"requests": %d, "duration_us": %d, "refused": %d, "failed": %d, '
         .. '"p50_us": %d, "p95_us": %d, "p99_us": %d}\n',
      summary.requests, summary.duration, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
