def celsius(message):
    return (message.payload - 32) / 1.8
