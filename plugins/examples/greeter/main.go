// Greeter is a plugin of jabberd: a program of its own, made with nothing but
// the SDK.
package main

import "github.com/jabberii/server/plugins/sdk"

func main() { sdk.Serve(Module) }
