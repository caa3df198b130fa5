// Hello is the whole content of the lab's hello-world image.
package main

import "fmt"

func main() {
	fmt.Println("Hello from the lab's Docker Hub!")
	fmt.Println("This message shows that the image was pulled whole and that it runs.")
}
