TARGET := --arm64
