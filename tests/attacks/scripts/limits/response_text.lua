-- expect: response_too_large memory 64 response 1
return ("x"):rep((1 << 20) + 1)
