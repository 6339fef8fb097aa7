"""How the demo and the command line write numbers for a person."""


def percent(probability):
    """A probability such as "97.3 %". No network is certain: "> 99.9 %" and "< 0.1 %" are the ends."""
    if probability > 0.999:
        return "> 99.9 %"
    if probability < 0.001:
        return "< 0.1 %"
    return f"{100 * probability:.1f} %"


def clock(seconds):
    """A length such as 4:07 or 1:02:09."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
