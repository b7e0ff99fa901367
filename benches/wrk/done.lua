-- Prints what wrk measured as one line of JSON. Times are in microseconds.

function done(summary, latency)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   local line = '{"requests":%d,"failed":%d,"seconds":%.6f,"p50_us":%.1f,"p99_us":%.1f,"worst_us":%.1f}\n'
   io.write(string.format(line, summary.requests, failed, summary.duration / 1e6,
      latency:percentile(50), latency:percentile(99), latency.max))
end
