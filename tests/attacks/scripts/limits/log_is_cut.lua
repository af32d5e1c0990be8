-- expect: ok "done" log 10
for i = 1, 10000 do print(i) log.info("line", { n = i }) end
return "done"
