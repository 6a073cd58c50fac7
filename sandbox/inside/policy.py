def review(code: str) -> list[str]:
    return []
