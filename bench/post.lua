-- What wrk sends: a small chat completion, each request with the next of the keys in the file named by
-- BENCH_KEYS. All requests are made once, before the clock starts.
local requests, at = {}, 0
local body = [[{"model":"bench","messages":[{"role":"system","content":"You are a helpful assistant."},]] ..
    [[{"role":"user","content":"Say in one sentence why a gate with one guard is better than a wall with ]] ..
    [[ten doors, and do not forget the moat."}],"temperature":0.2,"max_tokens":128}]]

function init()
    for key in io.lines(os.getenv("BENCH_KEYS")) do
        requests[#requests + 1] = wrk.format("POST", "/v1/chat/completions", {
            ["Host"] = "127.0.0.1",
            ["Authorization"] = "Bearer " .. key,
            ["Content-Type"] = "application/json",
            ["Accept"] = "application/json",
            ["User-Agent"] = "OpenAI/Python 1.0",
        }, body)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end
