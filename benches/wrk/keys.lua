-- Asks for many connections, those that fill.py makes: wrk … -s keys.lua URL -- ORDER COUNT PATH TOKENS [HEADER]
--
-- ORDER   `random`: uniformly, for as long as wrk runs. `once`: each one time, then wrk is ended.
-- COUNT   how many connections there are, ten for each organization.
-- PATH    what is asked of each, with a %d for the organization's number and one for the connection's in it.
-- TOKENS  a file of tokens, a line each. They share the organizations evenly, in their order.
-- HEADER  one more header, `Name: value`.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(here .. "done.lua")

local PREPARED = 100000 -- as many requests are put together beforehand, at most

local order, count, path, tokens, header
local prepared, answered, failed = {}, 0, 0
local asked = -1 -- wrk makes one request beforehand and does not send it

local function request_for(number)
   local org = math.floor(number / 10)
   local token = tokens[math.floor(org * #tokens / math.ceil(count / 10)) + 1]
   local headers = { ["Authorization"] = "Bearer " .. token }
   if header then
      local name, value = header:match("^(%S+): (.*)$")
      headers[name] = value
   end
   return wrk.format("GET", string.format(path, org, number % 10), headers)
end

function init(args)
   order, count, path, header = args[1], tonumber(args[2]), args[3], args[5]
   tokens = {}
   for line in io.lines(args[4]) do tokens[#tokens + 1] = line end
   if order == "once" then
      delay, response = none_until_all_are_asked, end_when_all_are_answered
      return
   end
   math.randomseed(os.time())
   for place = 1, math.min(count, PREPARED) do
      prepared[place] = request_for(count <= PREPARED and place - 1 or math.random(0, count - 1))
   end
end

function request()
   if order == "random" then return prepared[math.random(#prepared)] end
   asked = asked + 1
   return request_for((asked - 1) % count)
end

function none_until_all_are_asked()
   return asked < count and 0 or 3600000
end

function end_when_all_are_answered(status)
   answered = answered + 1
   if status >= 400 then failed = failed + 1 end
   if answered == count then
      io.write(string.format('{"requests":%d,"failed":%d}\n', answered, failed))
      io.flush()
      os.exit(0)
   end
end
