package store

const crashDir = "SLUICE_STORE_CRASH_DIR"

func churn(string) {}
