-- expect: module_not_found
return load("return require('greet')")().hello()
