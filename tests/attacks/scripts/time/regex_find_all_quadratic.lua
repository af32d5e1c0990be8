-- expect: time_limit_exceeded
-- each search is linear, but looks at all the rest of the text for every match
return #regex.find_all("a.*b|a", ("a"):rep(2^20))
