// Package e2e_test holds the promises that only a whole process can keep: it starts the built gateway as a user would, kills it, takes
// its database and its disk away, and looks at what a client sees. Each test is named by its promise.
package e2e_test
