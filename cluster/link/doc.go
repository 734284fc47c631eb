// Package link is what nodes say to each other above single messages: calls on their way to the silo
// that owns a grain, requests on their way to the leader of the log, and what travels of an atomic block
// with its calls. It knows views (package view) and messages (package actor), and hosts nothing.
package link
