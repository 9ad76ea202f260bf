-- What wrk sends: the body in the file BENCH_BODY, each request with the next of the keys in the file
-- BENCH_KEYS ("-": no credential), at most BENCH_REQUESTS different ones. With BENCH_CLOSE the connection
-- ends with the answer; with BENCH_FORWARDED each comes from an address of its own. All requests are made
-- once, before the clock starts.
local requests, at = {}, 0

local function add(body, key)
    requests[#requests + 1] = wrk.format("POST", "/v1/chat/completions", {
        ["Host"] = "127.0.0.1",
        ["Authorization"] = key and "Bearer " .. key,
        ["Content-Type"] = "application/json",
        ["Accept"] = "application/json",
        ["User-Agent"] = "OpenAI/Python 1.0",
        ["X-Forwarded-For"] = os.getenv("BENCH_FORWARDED") and
            ("198.18.%d.%d"):format(math.floor(#requests / 256), #requests % 256),
        ["Connection"] = os.getenv("BENCH_CLOSE") and "close",
    }, body)
end

function init()
    local body = io.open(os.getenv("BENCH_BODY"), "rb"):read("*a")
    local keys, most = os.getenv("BENCH_KEYS"), tonumber(os.getenv("BENCH_REQUESTS"))
    if keys == "-" then
        add(body)
        return
    end
    for key in io.lines(keys) do
        if #requests == most then
            break
        end
        add(body, key)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end
