module sluice/bench/peers
go 1.26.0
require github.com/tus/tusd/v2 v2.10.1
